"""What is kept: the workspace, records of builds, the shared store, users' data, and giving space back."""
