"""The edge: what is read from Azure, and how."""
