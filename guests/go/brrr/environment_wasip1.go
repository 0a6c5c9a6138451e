//go:build wasip1

package brrr

import "github.com/brrr-host/brrr-host/guests/go/brrr/internal/abi"

//go:wasmimport wasi:cli/environment@0.2.0 get-environment
func importEnvironment(variables *abi.List)

func lookupEnv(key string) (string, bool) {
	variables := new(abi.List)
	abi.Receive(func() { importEnvironment(variables) })
	defer abi.Release()
	for _, variable := range abi.Items[[2]abi.List](*variables) {
		if variable[0].String() == key {
			return variable[1].String(), true
		}
	}
	return "", false
}
