package brrrhttp

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

func TestTheCodesAreThoseOfTheWIT(t *testing.T) {
	world, err := os.ReadFile("../../cmd/brrr-build/program.wit")
	if err != nil {
		t.Fatal(err)
	}
	_, cases, _ := strings.Cut(string(world), "variant error-code {")
	cases, _, _ = strings.Cut(cases, "}")
	names := regexp.MustCompile(`(?m)^\s+([\w-]+)(?:\((.*)\))?,$`).FindAllStringSubmatch(cases, -1)
	if len(names) != len(errorCodes) {
		t.Fatalf("%d cases, %d texts", len(names), len(errorCodes))
	}
	for i, name := range names {
		withText := i == transferCoding || i == contentCoding || i == internalError
		if withText != (name[2] == "option<string>") {
			t.Errorf("%s is %d", name[1], i)
		}
	}
	for i, words := range map[int]string{6: "connection-refused", 15: "HTTP-request-denied", 25: "HTTP-response-incomplete"} {
		if names[i][1] != words {
			t.Errorf("%d is %s, not %s", i, names[i][1], words)
		}
	}
}
