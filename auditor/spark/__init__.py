"""The same verdicts by Apache Spark, where one machine is too small."""
