"""What everything stands on: errors, progress, tensors, types, figures; nothing here knows a model or a runtime."""
