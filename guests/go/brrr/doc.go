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
//	func main() { brrr.Handle("fib", fib) } // run once, when the component is built
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
// made one after the other run one after the other. A goroutine goes on as soon as its own calls have ended, or its
// timer is due.
//
// # Time
//
// A sleep, and a context's or a select's limit beside a call, are durable: while nothing but time has to pass, the handler
// does not exist.
//
// The package builds for any target, so that handlers can be tested where they are written; see Test.
package brrr
