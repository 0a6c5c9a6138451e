//go:build !wasip1

package brrr

import "os"

func lookupEnv(key string) (string, bool) { return os.LookupEnv(key) }
