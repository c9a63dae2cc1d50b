"""One file a conversion, all behind `core.conversion.base.Conversion`."""
