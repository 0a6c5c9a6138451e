// Conformance has the tasks of guests/CONFORMANCE.md, written as a user of Go would.
package main

func main() {
	bindGraph()
	bindFailures()
	bindLimits()
	bindPayloads()
	bindOutside()
	bindAllowed()
	bindErrors()
	bindMixed()
	bindTime()
	bindPromises()
	bindIdentity()
	bindDetails()
}
