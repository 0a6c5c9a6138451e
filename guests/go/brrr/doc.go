// Package brrr is for durable task handlers, as ordinary Go functions, in a component that brrr-host runs.
//
//	func fib(ctx context.Context, in FibArgs) (int, error) {
//		if in.N < 2 {
//			return in.N, nil
//		}
//		both, err := brrr.Gather(ctx,
//			brrr.Prepare[int]("fib", FibArgs{N: in.N - 1}),
//			brrr.Prepare[int]("fib", FibArgs{N: in.N - 2}))
//		if err != nil {
//			return 0, err
//		}
//		return both[0] + both[1], nil
//	}
//
//	func init() { brrr.Handle("fib", fib) }
//
//	func main() {}
//
// # A handler runs more than once
//
// When a value is not there yet, the host drops the handler's instance and starts it again, from its first line, once the
// value has come. So whatever a handler does besides calling must come out the same in each of those runs: don't branch
// on anything but the arguments and the values of calls, and leave effects to calls of their own. Clock and random
// numbers are safe: the host replays them.
//
// # Batches
//
// The handler goes on until all of its goroutines wait; the calls that they wait for are then asked for together. Calls
// made one after the other run one after the other.
//
// The package builds for any target, so that handlers can be tested where they are written; see Test.
package brrr
