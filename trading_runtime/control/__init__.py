"""What stops trading: the kill switch, and who looks at it while a run is computed."""
