"""What should be: rules read from YAML, checked when they are loaded."""
