package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/atomix/atomix/api/errors"
	counterv1 "github.com/atomix/atomix/api/runtime/counter/v1"
	mapv1 "github.com/atomix/atomix/api/runtime/map/v1"
	"github.com/atomix/go-sdk/pkg/atomix"
	"github.com/atomix/go-sdk/pkg/client"
	"github.com/atomix/go-sdk/pkg/primitive"
	"github.com/atomix/go-sdk/pkg/types"
	"google.golang.org/grpc"
)

// packages and their types' names. Each has a service of that name, which uses, and one in the plural, which opens.
var packages = map[string]string{
	"counter": "Counter", "countermap": "CounterMap", "election": "LeaderElection", "indexedmap": "IndexedMap",
	"list": "List", "lock": "Lock", "map": "Map", "multimap": "MultiMap", "set": "Set", "topic": "Topic", "value": "Value",
}

// created opens a primitive by a service's own name: the messages of all types look alike on the wire.
func created(ctx context.Context, conn *grpc.ClientConn, service, name string) error {
	request := &counterv1.CreateRequest{ID: id(name)}
	return conn.Invoke(ctx, service+"/Create", request, &counterv1.CreateResponse{})
}

func closed(ctx context.Context, conn *grpc.ClientConn, service, name string) error {
	request := &counterv1.CloseRequest{ID: id(name)}
	return conn.Invoke(ctx, service+"/Close", request, &counterv1.CloseResponse{})
}

func services(kind string) []string {
	service := fmt.Sprintf("/atomix.runtime.%s.v1.%s", kind, packages[kind])
	return []string{service, service + "s"}
}

// builders are all that the SDK has.
func builders(s *session, connection *client.Client) map[string]func(name string) (primitive.Primitive, error) {
	text, ctx := types.Scalar[string](), s.ctx()
	return map[string]func(string) (primitive.Primitive, error){
		"counter": func(name string) (primitive.Primitive, error) { return client.Counter(connection)(name).Get(ctx) },
		"election": func(name string) (primitive.Primitive, error) {
			return client.LeaderElection(connection)(name).Get(ctx)
		},
		"indexedmap": func(name string) (primitive.Primitive, error) {
			return client.IndexedMap[string, string](connection)(name).Codec(text).Get(ctx)
		},
		"list": func(name string) (primitive.Primitive, error) {
			return client.List[string](connection)(name).Codec(text).Get(ctx)
		},
		"lock": func(name string) (primitive.Primitive, error) { return client.Lock(connection)(name).Get(ctx) },
		"map": func(name string) (primitive.Primitive, error) {
			return client.Map[string, string](connection)(name).Codec(text).Get(ctx)
		},
		"set": func(name string) (primitive.Primitive, error) {
			return client.Set[string](connection)(name).Codec(text).Get(ctx)
		},
		"value": func(name string) (primitive.Primitive, error) {
			return client.Value[string](connection)(name).Codec(text).Get(ctx)
		},
	}
}

func registry(s *session) {
	registryServices(s)
	registryTypes(s)
	registryUnknown(s)
	registryNames(s)
	registryPackage(s)
}

func registryServices(s *session) {
	ctx := s.ctx()
	conn := s.stubs(s.client())
	for kind := range packages {
		for _, service := range services(kind) {
			name := s.name(kind + "-opened")
			s.succeeds(service+" opens", created(ctx, conn, service, name))
			s.succeeds(service+" opens what is open", created(ctx, conn, service, name))
			s.succeeds(service+" closes", closed(ctx, conn, service, name))
			s.succeeds(service+" closes what is closed", closed(ctx, conn, service, name))
			s.succeeds(service+" closes what never was", closed(ctx, conn, service, s.name("never")))
		}
	}
}

// registryTypes: a name has one type, whoever asks.
func registryTypes(s *session) {
	conn := s.stubs(s.client())
	for kind, build := range builders(s, s.client()) {
		other := "counter"
		if kind == other {
			other = "value"
		}
		name := s.name(other + "-not-" + kind)
		s.need("create a "+other, created(s.ctx(), conn, services(other)[1], name))
		_, err := build(name)
		s.refused(fmt.Sprintf("a %s is not opened as %s", other, kind), err, errors.Forbidden)
		s.refused("nor by the stub", created(s.ctx(), conn, services(kind)[0], name), errors.Forbidden)
		opened, err := build(s.name(kind))
		s.need("create a "+kind, err)
		s.equal("the SDK opens a "+kind, opened.Name(), s.name(kind))
		s.succeeds("and closes it", opened.Close(s.ctx()))
	}
	m := mapv1.NewMapClient(conn)
	name := s.name("value-not-counter")
	_, err := m.Get(s.ctx(), &mapv1.GetRequest{ID: id(s.name("counter-not-map")), Key: "a"})
	s.refused("a counter is not used as a map", err, errors.Forbidden)
	_, err = counterv1.NewCounterClient(conn).Get(s.ctx(), &counterv1.GetRequest{ID: id(name)})
	s.refused("a value is not used as a counter", err, errors.Forbidden)
}

func registryUnknown(s *session) {
	conn := s.stubs(s.client())
	name := s.name("unknown")
	_, err := counterv1.NewCounterClient(conn).Get(s.ctx(), &counterv1.GetRequest{ID: id(name)})
	s.refused("what was never created is not read", err, errors.Forbidden)
	_, err = counterv1.NewCounterClient(conn).Increment(s.ctx(), &counterv1.IncrementRequest{ID: id(name), Delta: 1})
	s.refused("nor written", err, errors.Forbidden)
	stream, err := mapv1.NewMapClient(conn).Events(s.ctx(), &mapv1.EventsRequest{ID: id(name)})
	if err == nil {
		_, err = stream.Recv()
	}
	s.refused("nor listened to", err, errors.Forbidden)
	ours := s.counter(s.client(), s.name("counter"))
	another := counterv1.NewCounterClient(s.stubs(s.client()))
	_, err = another.Get(s.ctx(), &counterv1.GetRequest{ID: id(ours.Name())})
	s.succeeds("what another connection has created is used without creating it", err)
}

func registryNames(s *session) {
	for _, name := range []string{"a b", "a/b", "a\x00b", "имя", "../x", strings.Repeat("n", 900)} {
		ours := s.counter(s.client(), s.name(name))
		gives(s.checks, fmt.Sprintf("a name like %.10q works", name), int64(1))(ours.Increment(s.ctx(), 1))
		other := s.counter(s.client(), s.name(name+"x"))
		gives(s.checks, "and is not another's", int64(0))(other.Get(s.ctx()))
	}
	_, err := client.Counter(s.client())(strings.Repeat("n", 1<<20)).Get(s.ctx())
	s.refused("a name of 1 MiB is refused", err, errors.Invalid)
}

// registryPackage uses the client that the SDK's package has, which finds its server by variables.
func registryPackage(s *session) {
	host, port, err := net.SplitHostPort(s.env.address)
	s.need("split the address", err)
	s.need("set the host", os.Setenv("ATOMIX_RUNTIME_HOST", host))
	s.need("set the port", os.Setenv("ATOMIX_RUNTIME_PORT", port))
	text, ctx := types.Scalar[string](), s.ctx()
	named := func(kind string) string { return s.name("package-" + kind) }
	counter, err := atomix.Counter(named("counter")).Get(ctx)
	s.need("create a counter", err)
	gives(s.checks, "the package's counter works", int64(1))(counter.Increment(ctx, 1))
	value, err := atomix.Value[string](named("value")).Codec(text).Get(ctx)
	s.need("create a value", err)
	_, err = value.Set(ctx, "1")
	s.succeeds("the package's value works", err)
	election, err := atomix.LeaderElection(named("election")).CandidateID("c").Get(ctx)
	s.need("create an election", err)
	s.term("the package's election works", `1 "c" []`)(election.Enter(ctx))
	indexed, err := atomix.IndexedMap[string, string](named("indexedmap")).Codec(text).Get(ctx)
	s.need("create an indexed map", err)
	_, err = indexed.Append(ctx, "a", "1")
	s.succeeds("the package's indexed map works", err)
	list, err := atomix.List[string](named("list")).Codec(text).Get(ctx)
	s.need("create a list", err)
	s.succeeds("the package's list works", list.Append(ctx, "a"))
	lock, err := atomix.Lock(named("lock")).Get(ctx)
	s.need("create a lock", err)
	_, err = try(s, lock)
	s.succeeds("the package's lock works", err)
	plain, err := atomix.Map[string, string](named("map")).Codec(text).Get(ctx)
	s.need("create a map", err)
	_, err = plain.Put(ctx, "a", "1")
	s.succeeds("the package's map works", err)
	set, err := atomix.Set[string](named("set")).Codec(text).Get(ctx)
	s.need("create a set", err)
	gives(s.checks, "the package's set works", true)(set.Add(ctx, "a"))
}
