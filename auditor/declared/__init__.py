"""What you said: the configuration file, and what each vault is declared to be for."""
