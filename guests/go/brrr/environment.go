package brrr

import "fmt"

// Env gives a variable of the environment that the worker gives its handlers (`run --env KEY`). Without it, an error that
// names the variable and the flag.
//
// It is what os.Getenv is elsewhere: in a component, package os sees no variables.
func Env(key string) (string, error) {
	if value, ok := lookupEnv(key); ok {
		return value, nil
	}
	return "", fmt.Errorf("the variable %s is not allowed: --env %s", key, key)
}
