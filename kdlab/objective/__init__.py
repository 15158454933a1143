"""What a student minimises: the loss of its task and terms of knowledge."""
