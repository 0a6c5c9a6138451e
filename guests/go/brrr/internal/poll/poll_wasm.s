// Lets poll.go declare functions of the runtime, which have their bodies there.
