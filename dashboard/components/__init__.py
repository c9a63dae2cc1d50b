"""Parts of pages: each draws itself and returns what the user chose."""
