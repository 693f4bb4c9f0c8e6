"""What Azure said: typed facts read from exports, and what could not be read."""
