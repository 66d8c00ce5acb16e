"""What the boards of these tests are told."""

IDENTITY = ("--device", "kitchen", "--project", "demo", "--broker", "mqtt://lamp:dim@192.168.1.5:1884")
WIFI = ("--wifi-ssid", "twin", "--wifi-key", "walls have ears")
