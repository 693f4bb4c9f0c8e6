"""What runs said, and the jobs that they saw, kept beyond what Azure keeps."""
