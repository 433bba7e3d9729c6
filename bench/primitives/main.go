// Figures of the primitives through the Atomix Go SDK and its generated stubs, against a running Belay.
//
//	primitives [flags] go         increments of one counter through the SDK
//	primitives [flags] watch      one map, many streams of events, one put
//	primitives [flags] handover   from an unlock to the grant of who waits
//	primitives [flags] fill       puts numbered keys into a map
//	primitives [flags] first      until a key of that map, and its size, are answered
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	lockv1 "github.com/atomix/atomix/api/runtime/lock/v1"
	mapv1 "github.com/atomix/atomix/api/runtime/map/v1"
	runtimev1 "github.com/atomix/atomix/api/runtime/v1"
	"github.com/atomix/go-sdk/pkg/client"
	"github.com/atomix/go-sdk/pkg/primitive/counter"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

var (
	address = flag.String("address", "127.0.0.1:5678", "host:port of the primitives")
	workers = flag.Int("workers", 64, "calls in flight")
	seconds = flag.Float64("secs", 2, "how long to measure")
	repeat  = flag.Int("repeat", 5, "how often")
	streams = flag.Int("streams", 10_000, "streams of events")
	conns   = flag.Int("conns", 20, "connections of the streams")
	keys    = flag.Int("keys", 1_000_000, "keys in the map")
	pid     = flag.Int("pid", 0, "the server's process, whose memory is shown")
)

func main() {
	flag.Parse()
	figures := map[string]func(){"go": increments, "watch": watch, "handover": handover, "fill": fill, "first": first}
	figure, known := figures[flag.Arg(0)]
	if !known {
		flag.Usage()
		os.Exit(2)
	}
	figure()
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func dial() *grpc.ClientConn {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return must(grpc.DialContext(ctx, *address, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithBlock()))
}

func id(name string) runtimev1.PrimitiveID {
	return runtimev1.PrimitiveID{Name: name}
}

func median(values []float64) float64 {
	sort.Float64s(values)
	return values[len(values)/2]
}

// spread is the middle, the lowest and the highest of some.
func spread(values []float64) string {
	middle := median(values)
	return fmt.Sprintf("%.2f (%.2f to %.2f)", middle, values[0], values[len(values)-1])
}

// memory is what the server has resident now, and at most so far, MiB.
func memory() string {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", *pid))
	if err != nil {
		return "unknown"
	}
	found := []string{}
	for _, line := range strings.Split(string(status), "\n") {
		if fields := strings.Fields(line); len(fields) > 1 && (fields[0] == "VmRSS:" || fields[0] == "VmHWM:") {
			kib, _ := strconv.Atoi(fields[1])
			found = append(found, fmt.Sprintf("%s %d MiB", fields[0], kib>>10))
		}
	}
	return strings.Join(found, ", ")
}

func increments() {
	host, port, err := net.SplitHostPort(*address)
	number := must(strconv.Atoi(port))
	must(host, err)
	ctx := context.Background()
	connection := client.NewClient(client.WithHost(host), client.WithPort(number))
	hits := must(client.Counter(connection)("hits").Get(ctx))
	rates, p50s := []float64{}, []float64{}
	for range *repeat {
		rate, p50 := incrementsOnce(ctx, hits)
		rates, p50s = append(rates, rate), append(p50s, p50)
	}
	fmt.Printf("increments through the Go SDK, %d workers: %s per second, p50 %s ms\n", *workers, spread(rates), spread(p50s))
}

func incrementsOnce(ctx context.Context, hits counter.Counter) (rate, p50 float64) {
	begin := time.Now()
	until := begin.Add(time.Duration(*seconds * float64(time.Second)))
	took := make([][]float64, *workers)
	var running sync.WaitGroup
	for worker := range took {
		running.Add(1)
		go func(worker int) {
			defer running.Done()
			for sent := time.Now(); sent.Before(until); sent = time.Now() {
				must(hits.Increment(ctx, 1))
				took[worker] = append(took[worker], time.Since(sent).Seconds()*1e3)
			}
		}(worker)
	}
	running.Wait()
	all := []float64{}
	for _, some := range took {
		all = append(all, some...)
	}
	return float64(len(all)) / time.Since(begin).Seconds(), median(all)
}

func watch() {
	ctx := context.Background()
	writer := mapv1.NewMapClient(dial())
	name := id("watched")
	must(mapv1.NewMapsClient(dial()).Create(ctx, &mapv1.CreateRequest{ID: name}))
	before := memory()
	var seen atomic.Int64
	told := make(chan struct{}, 1)
	for range *conns {
		reader := mapv1.NewMapClient(dial())
		for range *streams / *conns {
			events := must(reader.Events(ctx, &mapv1.EventsRequest{ID: name}))
			// It begins with an empty answer: from then on nothing is missed.
			must(events.Recv())
			go func() {
				for {
					must(events.Recv())
					if seen.Add(1)%int64(*streams / *conns * *conns) == 0 {
						told <- struct{}{}
					}
				}
			}()
		}
	}
	opened := memory()
	took := []float64{}
	for write := range *repeat {
		begin := time.Now()
		must(writer.Put(ctx, &mapv1.PutRequest{ID: name, Key: "a", Value: []byte(strconv.Itoa(write))}))
		<-told
		took = append(took, time.Since(begin).Seconds())
	}
	fmt.Printf("%d streams of one map, one put: the last one has it after %s s; memory %s before, %s with all streams, %s after\n",
		*streams, spread(took), before, opened, memory())
}

func handover() {
	ctx := context.Background()
	name := id("baton")
	here, there := lockv1.NewLockClient(dial()), lockv1.NewLockClient(dial())
	must(lockv1.NewLocksClient(dial()).Create(ctx, &lockv1.CreateRequest{ID: name}))
	must(here.Lock(ctx, &lockv1.LockRequest{ID: name}))
	medians := []float64{}
	for range *repeat {
		took := []float64{}
		for until := time.Now().Add(time.Duration(*seconds * float64(time.Second))); time.Now().Before(until); {
			granted := make(chan time.Time, 1)
			go func(waiter lockv1.LockClient) {
				must(waiter.Lock(ctx, &lockv1.LockRequest{ID: name}))
				granted <- time.Now()
			}(there)
			// So that it waits in the queue already.
			time.Sleep(2 * time.Millisecond)
			begin := time.Now()
			must(here.Unlock(ctx, &lockv1.UnlockRequest{ID: name}))
			took = append(took, (<-granted).Sub(begin).Seconds()*1e3)
			here, there = there, here
		}
		medians = append(medians, median(took))
	}
	fmt.Printf("from an unlock to the grant of who waits, p50: %s ms\n", spread(medians))
}

func key(number int) string {
	return fmt.Sprintf("key %07d", number)
}

func fill() {
	ctx := context.Background()
	name := id("million")
	must(mapv1.NewMapsClient(dial()).Create(ctx, &mapv1.CreateRequest{ID: name}))
	var next atomic.Int64
	var running sync.WaitGroup
	begin := time.Now()
	conn := dial()
	for range 4 * *workers {
		running.Add(1)
		go func() {
			defer running.Done()
			entries := mapv1.NewMapClient(conn)
			for number := int(next.Add(1)); number <= *keys; number = int(next.Add(1)) {
				must(entries.Put(ctx, &mapv1.PutRequest{ID: name, Key: key(number), Value: []byte(key(number))}))
			}
		}()
	}
	running.Wait()
	fmt.Printf("%d keys put in %.0f s\n", *keys, time.Since(begin).Seconds())
}

// first says milliseconds since the epoch, so that a script can tell them from the start of the server.
func first() {
	ctx := context.Background()
	var conn *grpc.ClientConn
	for {
		if probe, err := net.Dial("tcp", *address); err == nil {
			_ = probe.Close()
			conn = dial()
			break
		}
		time.Sleep(time.Millisecond)
	}
	entries := mapv1.NewMapClient(conn)
	name := id("million")
	must(entries.Get(ctx, &mapv1.GetRequest{ID: name, Key: key(*keys / 2)}))
	answered := time.Now()
	size := must(entries.Size(ctx, &mapv1.SizeRequest{ID: name}))
	if int(size.Size_) != *keys {
		log.Fatalf("%d keys are there, and not %d", size.Size_, *keys)
	}
	fmt.Printf("%d %d\n", answered.UnixMilli(), time.Now().UnixMilli())
}
