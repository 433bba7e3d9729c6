// End-to-end checks of distributed primitives through the unmodified Atomix Go SDK.
//
//	atomix scenarios                the scenarios, one per line
//	atomix [flags] participant      does what it is told on standard input
//	atomix [flags] SCENARIO...      runs them; `all` runs every one that needs nothing but a server
//
// Flags and scenarios are described in README.md. Exit code 0 only if at least one check ran and none failed.
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"time"
)

// A scenario checks one primitive or one behaviour, on primitives that nobody has used before.
type scenario struct {
	name string
	run  func(*session)
	// Needs more than a server: a control port that nobody has used, or somebody who restarts it.
	special bool
}

var scenarios = []scenario{
	{name: "counter", run: counters},
	{name: "countermap", run: countermaps},
	{name: "map", run: maps},
	{name: "map-transaction", run: mapTransactions},
	{name: "map-stream", run: mapStreams},
	{name: "indexedmap", run: indexedMaps},
	{name: "indexedmap-stream", run: indexedMapStreams},
	{name: "multimap", run: multimaps},
	{name: "set", run: sets},
	{name: "list", run: lists},
	{name: "value", run: values},
	{name: "lock", run: locks},
	{name: "election", run: elections},
	{name: "topic", run: topics},
	{name: "registry", run: registry},
	{name: "codec", run: codecs},
	{name: "session", run: sessions},
	{name: "routes", run: routes, special: true},
	{name: "cached", run: cachedMaps, special: true},
	{name: "restart", run: restart, special: true},
	{name: "restart-session", run: restartSessions, special: true},
}

// watchdog ends a run that hangs: the SDK sleeps through deadlines while it retries.
func watchdog(limit time.Duration) {
	time.AfterFunc(limit, func() {
		fmt.Printf("FAIL run: got no end within %v, want one\n", limit)
		os.Exit(1)
	})
}

func main() {
	env := environment{}
	flag.StringVar(&env.address, "address", fromEnv("BELAY_ATOMIX", "127.0.0.1:5678"), "host:port of the primitives")
	flag.StringVar(&env.control, "control", fromEnv("BELAY_ATOMIX_CONTROL", ""), "host:port of the runtime's control")
	limit := flag.Duration("limit", 170*time.Second, "longest that the run may take")
	flag.Parse()
	os.Exit(run(env, flag.Args(), *limit))
}

func fromEnv(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

func run(env environment, names []string, limit time.Duration) int {
	if len(names) == 1 && names[0] == "scenarios" {
		for _, scenario := range scenarios {
			fmt.Println(scenario.name)
		}
		return 0
	}
	if len(names) == 1 && names[0] == "participant" {
		return participate(env)
	}
	chosen, unknown := choose(names)
	if len(chosen) == 0 || len(unknown) > 0 {
		fmt.Fprintf(os.Stderr, "usage: atomix scenarios | all | SCENARIO...   (unknown: %s)\n", strings.Join(unknown, " "))
		return 2
	}
	watchdog(limit)
	ran, failed := 0, 0
	for _, scenario := range chosen {
		checks := runScenario(env, scenario)
		ran += checks.ran
		failed += checks.failed
	}
	fmt.Printf("# %d checks, %d failed\n", ran, failed)
	if ran == 0 || failed > 0 {
		return 1
	}
	return 0
}

func choose(names []string) (chosen []scenario, unknown []string) {
	for _, name := range names {
		found := false
		for _, scenario := range scenarios {
			if scenario.name == name || (name == "all" && !scenario.special) {
				chosen = append(chosen, scenario)
				found = true
			}
		}
		if !found {
			unknown = append(unknown, name)
		}
	}
	return chosen, unknown
}

func runScenario(env environment, scenario scenario) *checks {
	session := newSession(env, scenario.name)
	defer session.close()
	func() {
		defer session.checks.recovered()
		scenario.run(session)
	}()
	return session.checks
}
