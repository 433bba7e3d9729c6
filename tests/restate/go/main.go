// The services of ../README.md, with the unmodified Go SDK: `services PORT FILE`.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"slices"
	"strings"
	"time"

	restate "github.com/restatedev/sdk-go"
	"github.com/restatedev/sdk-go/server"
)

var file string

type wait struct {
	Key string `json:"key"`
	Ms  int64  `json:"ms"`
}

type completion struct {
	ID    string `json:"id"`
	Value string `json:"value"`
}

func note(key, what string) error {
	notes, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer notes.Close()
	_, err = fmt.Fprintf(notes, "%s %s\n", key, what)
	return err
}

func run(ctx restate.Context, key, what string) error {
	return restate.RunVoid(ctx, func(restate.RunContext) error { return note(key, what) }, restate.WithName(what))
}

// Fails unless it is the third attempt.
func third(key string) (int, error) {
	if err := note(key, "attempt"); err != nil {
		return 0, err
	}
	notes, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	attempt := 0
	for line := range strings.SplitSeq(string(notes), "\n") {
		if line == key+" attempt" {
			attempt++
		}
	}
	if attempt < 3 {
		return 0, fmt.Errorf("attempt %d fails", attempt)
	}
	return attempt, nil
}

func greet(_ restate.Context, name string) (string, error) {
	return "Hello " + name, nil
}

func three(ctx restate.Context, key string) (int, error) {
	sum := 0
	for index, step := range []string{"one", "two", "three"} {
		value, err := restate.Run(ctx, func(restate.RunContext) (int, error) {
			return index + 1, note(key, step)
		}, restate.WithName(step))
		if err != nil {
			return 0, err
		}
		sum += value
	}
	return sum, nil
}

func chain(ctx restate.Context, name string) (string, error) {
	return restate.Service[string](ctx, "Greeter", "greet").Request(name)
}

func chainNap(ctx restate.Context, request wait) (string, error) {
	return restate.Service[string](ctx, "Greeter", "nap").Request(request)
}

func oneWay(ctx restate.Context, key string) (restate.Void, error) {
	restate.ObjectSend(ctx, "Counter", key, "add").Send(1)
	return restate.Void{}, nil
}

func later(ctx restate.Context, request wait) (restate.Void, error) {
	delay := time.Duration(request.Ms) * time.Millisecond
	restate.ObjectSend(ctx, "Counter", request.Key, "add").Send(1, restate.WithDelay(delay))
	return restate.Void{}, nil
}

func nap(ctx restate.Context, request wait) (string, error) {
	if err := note(request.Key, "attempt"); err != nil {
		return "", err
	}
	if err := run(ctx, request.Key, "before"); err != nil {
		return "", err
	}
	if err := restate.Sleep(ctx, time.Duration(request.Ms)*time.Millisecond); err != nil {
		return "", err
	}
	return "slept", run(ctx, request.Key, "after")
}

func slow(ctx restate.Context, request wait) (string, error) {
	if err := run(ctx, request.Key, "one"); err != nil {
		return "", err
	}
	err := restate.RunVoid(ctx, func(restate.RunContext) error {
		err := note(request.Key, "slow")
		time.Sleep(time.Duration(request.Ms) * time.Millisecond)
		return err
	}, restate.WithName("slow"))
	if err != nil {
		return "", err
	}
	return "done", run(ctx, request.Key, "three")
}

func fail(_ restate.Context, message string) (string, error) {
	return "", restate.ToTerminalError(errors.New(message), restate.WithErrorCode(418))
}

func flaky(_ restate.Context, key string) (int, error) {
	return third(key)
}

func flakyRun(ctx restate.Context, key string) (int, error) {
	return restate.Run(ctx, func(restate.RunContext) (int, error) { return third(key) },
		restate.WithName("third"), restate.WithInitialRetryInterval(50*time.Millisecond))
}

func awakeable(ctx restate.Context, key string) (string, error) {
	if err := note(key, "attempt"); err != nil {
		return "", err
	}
	awakeable := restate.Awakeable[string](ctx)
	if err := run(ctx, key, "id "+awakeable.Id()); err != nil {
		return "", err
	}
	return awakeable.Result()
}

func resolve(ctx restate.Context, request completion) (restate.Void, error) {
	restate.ResolveAwakeable(ctx, request.ID, request.Value)
	return restate.Void{}, nil
}

func reject(ctx restate.Context, request completion) (restate.Void, error) {
	restate.RejectAwakeable(ctx, request.ID, errors.New(request.Value))
	return restate.Void{}, nil
}

func greeter() restate.ServiceDefinition {
	return restate.NewService("Greeter").
		Handler("greet", restate.NewServiceHandler(greet)).
		Handler("three", restate.NewServiceHandler(three)).
		Handler("chain", restate.NewServiceHandler(chain)).
		Handler("chainNap", restate.NewServiceHandler(chainNap)).
		Handler("oneWay", restate.NewServiceHandler(oneWay)).
		Handler("later", restate.NewServiceHandler(later)).
		Handler("nap", restate.NewServiceHandler(nap)).
		Handler("slow", restate.NewServiceHandler(slow)).
		Handler("fail", restate.NewServiceHandler(fail)).
		Handler("flaky", restate.NewServiceHandler(flaky)).
		Handler("flakyRun", restate.NewServiceHandler(flakyRun)).
		Handler("awakeable", restate.NewServiceHandler(awakeable)).
		Handler("resolve", restate.NewServiceHandler(resolve)).
		Handler("reject", restate.NewServiceHandler(reject))
}

func idle() restate.ServiceDefinition {
	return restate.NewService("Idle", restate.WithInactivityTimeout(100*time.Millisecond)).
		Handler("nap", restate.NewServiceHandler(nap)).
		Handler("awakeable", restate.NewServiceHandler(awakeable))
}

func get(ctx restate.ObjectSharedContext, _ restate.Void) (int, error) {
	return restate.Get[int](ctx, "count")
}

func counter() restate.ServiceDefinition {
	add := func(ctx restate.ObjectContext, n int) (int, error) {
		count, err := restate.Get[int](ctx, "count")
		if err != nil {
			return 0, err
		}
		restate.Set(ctx, "count", count+n)
		restate.Set(ctx, "last", n)
		return count + n, nil
	}
	keys := func(ctx restate.ObjectSharedContext, _ restate.Void) ([]string, error) {
		keys, err := restate.Keys(ctx)
		if err != nil {
			return nil, err
		}
		// No key is an empty list, not null.
		keys = append([]string{}, keys...)
		slices.Sort(keys)
		return keys, nil
	}
	clear := func(ctx restate.ObjectContext, _ restate.Void) (restate.Void, error) {
		restate.Clear(ctx, "last")
		return restate.Void{}, nil
	}
	reset := func(ctx restate.ObjectContext, _ restate.Void) (restate.Void, error) {
		restate.ClearAll(ctx)
		return restate.Void{}, nil
	}
	return restate.NewObject("Counter").
		Handler("add", restate.NewObjectHandler(add)).
		Handler("get", restate.NewObjectSharedHandler(get)).
		Handler("lazy", restate.NewObjectSharedHandler(get, restate.WithEnableLazyState(true))).
		Handler("keys", restate.NewObjectSharedHandler(keys)).
		Handler("clear", restate.NewObjectHandler(clear)).
		Handler("reset", restate.NewObjectHandler(reset))
}

func workflow() restate.ServiceDefinition {
	run := func(ctx restate.WorkflowContext, input string) (string, error) {
		value, err := restate.Promise[string](ctx, "go").Result()
		if err != nil {
			return "", err
		}
		return input + ":" + value, nil
	}
	finish := func(ctx restate.WorkflowSharedContext, value string) (restate.Void, error) {
		// A nil of its type is no error, a nil of another one would be.
		if err := restate.Promise[string](ctx, "go").Resolve(value); err != nil {
			return restate.Void{}, err
		}
		return restate.Void{}, nil
	}
	refuse := func(ctx restate.WorkflowSharedContext, reason string) (restate.Void, error) {
		if err := restate.Promise[string](ctx, "go").Reject(errors.New(reason)); err != nil {
			return restate.Void{}, err
		}
		return restate.Void{}, nil
	}
	peek := func(ctx restate.WorkflowSharedContext, _ restate.Void) (string, error) {
		value, err := restate.Promise[*string](ctx, "go").Peek()
		if err != nil {
			return "", err
		}
		if value == nil {
			return "-", nil
		}
		return *value, nil
	}
	return restate.NewWorkflow("Wf").
		Handler("run", restate.NewWorkflowHandler(run)).
		Handler("finish", restate.NewWorkflowSharedHandler(finish)).
		Handler("refuse", restate.NewWorkflowSharedHandler(refuse)).
		Handler("peek", restate.NewWorkflowSharedHandler(peek))
}

func main() {
	port := os.Args[1]
	file = os.Args[2]
	endpoint := server.NewRestate().Bind(greeter()).Bind(idle()).Bind(counter()).Bind(workflow())
	log.Fatal(endpoint.Start(context.Background(), "127.0.0.1:"+port))
}
