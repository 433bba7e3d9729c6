package main

import (
	"context"
	"fmt"
	"math/rand"
	"sort"
	"strings"
	"sync"

	"github.com/atomix/atomix/api/errors"
	mapv1 "github.com/atomix/atomix/api/runtime/map/v1"
	runtimev1 "github.com/atomix/atomix/api/runtime/v1"
	"github.com/atomix/go-sdk/pkg/client"
	"github.com/atomix/go-sdk/pkg/primitive"
	"github.com/atomix/go-sdk/pkg/types"
	gogotypes "github.com/gogo/protobuf/types"
)

// Case C74: three clients, each with the SDK's cache of one map, all writing, and one of them later than the others.
//
// The cache races itself, and then keeps an entry that is gone until its key is written again: docs/protocols/atomix-traps.md
// says how. So what is checked of keys that somebody removes is what each client is told, and the caches when such keys were
// written once more. Of other keys the caches are checked as they are.

const (
	cachedRounds = 5
	// Of each client in each round.
	cachedWrites = 300
)

var (
	steadyKeys = []string{"a", "b", "c", "d", "e"}
	// Also removed, by all clients.
	removedKeys = []string{"removed-a", "removed-b", "removed-c", "removed-d", "removed-e"}
)

// The last key of a round.
const endKey = "end"

func cachedMaps(s *session) {
	conn := s.plain(s.env.control)
	c := control{s, conn, runtimev1.NewRuntimeClient(conn)}
	s.need("connect a store", c.connect("cached", "atomix.io/pod-memory", "v1", nil))
	rule := func(tag, config string) runtimev1.RoutingRule {
		return runtimev1.RoutingRule{Tags: []string{tag}, Config: &gogotypes.Any{Value: []byte(config)}}
	}
	s.need("program its routes", c.program(runtimev1.Route{StoreID: store("cached"), Rules: []runtimev1.RoutingRule{
		rule("mirrored", `{"cache":{"enabled":true}}`), rule("recent", `{"cache":{"enabled":true,"size":100}}`),
	}}))
	for _, tag := range []string{"mirrored", "recent"} {
		for round := 0; round < cachedRounds; round++ {
			cachedRound(s, tag, round)
		}
	}
}

func cachedRound(s *session, tag string, round int) {
	name := s.name(fmt.Sprintf("%s-%d", tag, round))
	clients := []*cachedClient{}
	for number := 0; number < 3; number++ {
		clients = append(clients, newCachedClient(s, name, tag, number))
	}
	clients[0].open()
	clients[1].open()
	for _, c := range clients {
		c.listen()
	}
	writeAll(s, clients)
	for _, c := range clients {
		c.agrees("caches agree on what nobody removes", steadyKeys)
	}
	clients[round%3].writeAgain()
	for _, c := range clients {
		c.agrees("and on the rest, once it was written again", append(removedKeys, endKey))
	}
	toldAll(s, clients)
}

// cachedClient is one of the three.
type cachedClient struct {
	*session
	name, tag string
	number    int
	client    *client.Client
	stub      mapv1.MapClient
	// With the SDK's cache.
	m texts
	// What it was told, when the round is over.
	told chan []*mapv1.Event
	// What its writes did, as their answers say.
	did []string
	// The newest version that it has read of each key.
	read map[string]uint64
}

func newCachedClient(s *session, name, tag string, number int) *cachedClient {
	connection := s.client()
	return &cachedClient{
		session: s, name: name, tag: tag, number: number,
		client: connection, stub: mapv1.NewMapClient(s.stubs(connection)),
		told: make(chan []*mapv1.Event, 1), read: map[string]uint64{},
	}
}

func (c *cachedClient) open() {
	builder := client.Map[string, string](c.client)(c.name).Tag(c.tag).Codec(types.Scalar[string]())
	c.m = must[texts](c.checks, "create a cached map")(builder.Get(c.ctx()))
}

// listen writes down what the server tells this client, beside what the cache hears.
func (c *cachedClient) listen() {
	events, err := c.stub.Events(c.session.open(), &mapv1.EventsRequest{ID: id(c.name)})
	c.need("listen", err)
	_, err = events.Recv()
	c.need("receive the first, empty message", err)
	go func() {
		defer close(c.told)
		told := []*mapv1.Event{}
		for len(told) == 0 || told[len(told)-1].Key != endKey {
			response, err := events.Recv()
			if err != nil {
				c.succeeds("its events go on", err)
				return
			}
			told = append(told, &response.Event)
		}
		c.told <- told
	}()
}

// writeAll writes as all three clients at once; the third comes when the first has half of it behind it.
func writeAll(s *session, clients []*cachedClient) {
	ctx := s.within(6 * deadline)
	half, reached := context.WithCancel(ctx)
	var writing sync.WaitGroup
	write := func(c *cachedClient) {
		defer writing.Done()
		defer reached()
		for index := 0; index < cachedWrites; index++ {
			if c.number == 0 && index == cachedWrites/2 {
				reached()
			}
			if err := c.write(ctx, index); err != nil {
				c.succeeds("every write is answered", err)
				return
			}
			if !c.reads(ctx) {
				return
			}
		}
	}
	writing.Add(3)
	go write(clients[0])
	go write(clients[1])
	<-half.Done()
	clients[2].open()
	for _, key := range steadyKeys {
		// What others write between its listing and its listening is not in its cache.
		s.need("write at first", clients[2].put(ctx, key, "at first"))
	}
	go write(clients[2])
	writing.Wait()
}

func (c *cachedClient) write(ctx context.Context, index int) error {
	value := fmt.Sprintf("%d-%d", c.number, index)
	key := steadyKeys[rand.Intn(len(steadyKeys))]
	if index%2 == 0 {
		key = removedKeys[rand.Intn(len(removedKeys))]
		if rand.Intn(3) == 0 {
			return c.note("removed ")(c.m.Remove(ctx, key))
		}
	}
	switch rand.Intn(4) {
	case 0:
		return c.note("")(c.m.Insert(ctx, key, value))
	case 1:
		return c.note("")(c.m.Update(ctx, key, value))
	default:
		return c.put(ctx, key, value)
	}
}

func (c *cachedClient) put(ctx context.Context, key, value string) error {
	return c.note("")(c.m.Put(ctx, key, value))
}

// note takes the answer to a write, which may have been refused because of what others did.
func (c *cachedClient) note(what string) func(*pair, error) error {
	return func(entry *pair, err error) error {
		if errors.IsNotFound(err) || errors.IsAlreadyExists(err) {
			return nil
		}
		if err == nil {
			c.did = append(c.did, what+pairText(entry))
		}
		return err
	}
}

// reads one of the keys that nobody removes: it has it in a version that is not older than the last one it has read.
func (c *cachedClient) reads(ctx context.Context) bool {
	key := steadyKeys[rand.Intn(len(steadyKeys))]
	entry, err := c.m.Get(ctx, key)
	before := c.read[key]
	if errors.IsNotFound(err) && before == 0 {
		return true
	}
	if err != nil || uint64(entry.Version) < before {
		got := fmt.Sprintf("%s, error %v", pairText(entry), err)
		return c.holds("no version goes back", false, got, fmt.Sprintf("version %d or a later one", before))
	}
	c.read[key] = uint64(entry.Version)
	return true
}

// writeAgain ends the round: every key that was ever removed is written, two of them are removed for good.
func (c *cachedClient) writeAgain() {
	ctx := c.ctx()
	for _, key := range append(removedKeys, endKey) {
		if key == endKey {
			for _, gone := range removedKeys[:2] {
				c.need("remove", c.note("removed ")(c.m.Remove(ctx, gone)))
			}
		}
		c.need("write again", c.put(ctx, key, "at last"))
	}
}

// agrees waits until its cache has what the server has.
func (c *cachedClient) agrees(sentence string, keys []string) {
	ctx := c.ctx()
	text := func(get func(key string) (*pair, error)) (string, error) {
		lines := []string{}
		for _, key := range keys {
			entry, err := get(key)
			if err != nil && !errors.IsNotFound(err) {
				return "", err
			}
			lines = append(lines, key+": "+pairText(entry))
		}
		return strings.Join(lines, "\n"), nil
	}
	want, err := text(func(key string) (*pair, error) {
		response, err := c.stub.Get(ctx, &mapv1.GetRequest{ID: id(c.name), Key: key})
		if err != nil {
			return nil, err
		}
		return pairOf(key, response.Value), nil
	})
	c.need("get", err)
	eventually(c.session, c.tag+": "+sentence, want, func() (string, error) {
		return text(func(key string) (*pair, error) { return c.m.Get(ctx, key) })
	})
}

func pairOf(key string, value mapv1.VersionedValue) *pair {
	return &pair{Key: key, Versioned: primitive.Versioned[string]{
		Value: string(value.Value), Version: primitive.Version(value.Version),
	}}
}

// toldAll compares what the clients were told: with each other, with what they did, and whether each event follows from those
// before it.
func toldAll(s *session, clients []*cachedClient) {
	did, all := []string{}, [][]*mapv1.Event{}
	for _, c := range clients {
		did = append(did, c.did...)
		told := <-c.told
		all = append(all, told)
	}
	for _, told := range all[1:] {
		s.equal("all clients are told the same", eventTexts(told), eventTexts(all[0]))
	}
	changes, fault := replayed(all[0])
	s.equal("each event follows from those before it", fault, "")
	sort.Strings(did)
	sort.Strings(changes)
	s.equal("what was done is told, each change once", changes, did)
}

func eventTexts(events []*mapv1.Event) string {
	texts := []string{}
	for _, event := range events {
		texts = append(texts, event.String())
	}
	return strings.Join(texts, "\n")
}

// replayed does to an empty map what the events tell: what was changed, and what does not follow.
func replayed(events []*mapv1.Event) (changes []string, fault string) {
	entries, last := map[string]string{}, uint64(0)
	for _, event := range events {
		var before, now *mapv1.VersionedValue
		switch e := event.Event.(type) {
		case *mapv1.Event_Inserted_:
			now = &e.Inserted.Value
		case *mapv1.Event_Updated_:
			before, now = &e.Updated.PrevValue, &e.Updated.Value
		case *mapv1.Event_Removed_:
			before = &e.Removed.Value
		}
		was := ""
		if before != nil {
			was = pairText(pairOf(event.Key, *before))
		}
		if entries[event.Key] != was {
			return changes, fmt.Sprintf("%s, but there was %q", event, entries[event.Key])
		}
		if now == nil {
			changes = append(changes, "removed "+was)
			delete(entries, event.Key)
			continue
		}
		if now.Version <= last {
			return changes, fmt.Sprintf("%s, after version %d", event, last)
		}
		last = now.Version
		entries[event.Key] = pairText(pairOf(event.Key, *now))
		changes = append(changes, entries[event.Key])
	}
	return changes, ""
}
