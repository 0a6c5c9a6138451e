"""The web application: it starts jobs of brrr-host and shows them. It keeps nothing itself."""
