"""What is due becomes submissions, each once."""
