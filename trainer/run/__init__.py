"""What surrounds the loop: launch, header, footer, summary."""
