// Lets reseed.go declare functions of the runtime, which have their bodies there.
