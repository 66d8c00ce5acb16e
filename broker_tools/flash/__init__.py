"""First flashing and provisioning of boards over USB."""
