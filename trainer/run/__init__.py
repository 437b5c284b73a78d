"""Everything around the loop: launch, header, footer, summary."""
