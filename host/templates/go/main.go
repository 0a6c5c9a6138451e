// Handlers of tasks; `brrr-host build` makes one component of this program.
package main

import (
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/brrr-host/brrr-host/guests/go/brrr"
)

type HelloArgs struct {
	Greetee string `json:"greetee"`
}

func hello(ctx context.Context, in HelloArgs) (string, error) {
	greeting := fmt.Sprintf("Hello, %s!", in.Greetee)
	fmt.Println(greeting) // appears on the worker's output
	return greeting, nil
}

type DiceArgs struct {
	Count int `json:"count"`
}

type Dice struct {
	Rolls []int `json:"rolls"`
	Sum   int   `json:"sum"`
}

// Run again from its beginning once the rolls are there, so it must come to the same calls again. The rolls are queued
// together, and each is run once, by whichever worker is free.
func dice(ctx context.Context, in DiceArgs) (Dice, error) {
	var rolls []brrr.Prepared[int]
	for nth := range in.Count {
		rolls = append(rolls, rollTask.Prepare(RollArgs{Nth: nth}))
	}
	values, err := brrr.Gather(ctx, rolls...)
	sum := 0
	for _, value := range values {
		sum += value
	}
	return Dice{Rolls: values, Sum: sum}, err
}

// The number of the roll only makes each a call of its own: the same call made twice is run once.
type RollArgs struct {
	Nth int `json:"nth"`
}

func roll(ctx context.Context, in RollArgs) (int, error) {
	return 1 + rand.IntN(6), nil
}

// The name of a task with its types.
var rollTask = brrr.Task[RollArgs, int]{Name: "roll"}

func main() {
	brrr.Handle("hello", hello)
	brrr.Handle("dice", dice, brrr.Options{Description: "Throws dice, and adds them up."})
	// A leaf has the real clock and real random numbers: the place for all that is not the same every time.
	rollTask.Handle(roll, brrr.Options{Leaf: true})
}
