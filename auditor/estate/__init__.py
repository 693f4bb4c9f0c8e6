"""What we make of Azure's facts and your declarations: the subjects that rules judge."""
