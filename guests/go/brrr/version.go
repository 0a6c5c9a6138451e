package brrr

// Version is this SDK's. `brrr-host inspect` shows it of a component.
const Version = "0.1.0"
