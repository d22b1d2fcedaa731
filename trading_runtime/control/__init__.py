"""What stops trading: the kill switch, and what checks it while a run is computed."""
