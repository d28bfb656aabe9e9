"""What is done already, and what a cube that grows keeps."""
