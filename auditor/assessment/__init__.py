"""What is: rules and subjects brought together into verdicts with evidence."""
