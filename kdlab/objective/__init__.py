"""What a student minimises: the loss of its task and weighted terms of knowledge."""
