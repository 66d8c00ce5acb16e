otafleet_flash(8)
