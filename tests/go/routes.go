package main

import (
	"context"
	"time"

	"github.com/atomix/atomix/api/errors"
	counterv1 "github.com/atomix/atomix/api/runtime/counter/v1"
	runtimev1 "github.com/atomix/atomix/api/runtime/v1"
	"github.com/atomix/go-sdk/pkg/client"
	"github.com/atomix/go-sdk/pkg/types"
	gogotypes "github.com/gogo/protobuf/types"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// control is the runtime's control API. Routes are programmed once in a server's life: this needs a fresh one.
type control struct {
	s    *session
	conn *grpc.ClientConn
	stub runtimev1.RuntimeClient
}

func store(name string) runtimev1.StoreID {
	return runtimev1.StoreID{Namespace: "belay", Name: name}
}

// code checks the gRPC code of an error of a plain connection.
func (s *session) code(sentence string, err error, want codes.Code) {
	s.equal(sentence, status.Code(err).String(), want.String())
}

func (c control) connect(name, driver, version string, config *gogotypes.Any) error {
	_, err := c.stub.Connect(c.s.ctx(), &runtimev1.ConnectRequest{
		StoreID: store(name), DriverID: runtimev1.DriverID{Name: driver, APIVersion: version}, Config: config,
	})
	return err
}

func (c control) program(routes ...runtimev1.Route) error {
	_, err := c.stub.Program(c.s.ctx(), &runtimev1.ProgramRequest{Routes: routes})
	return err
}

func routes(s *session) {
	if s.env.control == "" {
		s.holds("the control port's address was given", false, "none", "-control")
		return
	}
	conn := s.plain(s.env.control)
	c := control{s, conn, runtimev1.NewRuntimeClient(conn)}
	routesConnect(s, c)
	all := routesProgram(s, c)
	routesFollowed(s, c)
	routesCached(s)
	s.succeeds("the same routes are programmed again", c.program(all...))
	routesGone(s, c)
}

func routesConnect(s *session, c control) {
	s.succeeds("a store in memory is connected", c.connect("main", "atomix.io/pod-memory", "v1", nil))
	s.code("a connected store is not connected again", c.connect("main", "atomix.io/pod-memory", "v1", nil), codes.AlreadyExists)
	s.succeeds("the driver's first name is known", c.connect("cached", "PodMemory", "v1beta1", &gogotypes.Any{Value: []byte("{}")}))
	s.succeeds("the shared one's too", c.connect("special", "atomix.io/shared-memory", "v1", &gogotypes.Any{}))
	err := c.connect("unknown", "no-such-driver", "v1", nil)
	s.holds("an unknown driver is refused", err != nil && status.Code(err) != codes.Unavailable, err, "an error that is final")
	_, err = c.stub.Configure(s.ctx(), &runtimev1.ConfigureRequest{StoreID: store("main"), Config: &gogotypes.Any{Value: []byte("{}")}})
	s.succeeds("a connected store is configured", err)
	_, err = c.stub.Configure(s.ctx(), &runtimev1.ConfigureRequest{StoreID: store("unknown")})
	s.code("an unknown one is not", err, codes.NotFound)
	_, err = c.stub.Disconnect(s.ctx(), &runtimev1.DisconnectRequest{StoreID: store("unknown")})
	s.code("nor disconnected", err, codes.NotFound)

	// The service's earlier name.
	request := &runtimev1.ConnectRequest{StoreID: store("early"), DriverID: runtimev1.DriverID{Name: "PodMemory", APIVersion: "v1beta1"}}
	err = c.conn.Invoke(s.ctx(), "/atomix.proxy.v1.Proxy/Connect", request, &runtimev1.ConnectResponse{})
	s.succeeds("the service's first name connects", err)
	configure := &runtimev1.ConfigureRequest{StoreID: store("early")}
	err = c.conn.Invoke(s.ctx(), "/atomix.proxy.v1.Proxy/Configure", configure, &runtimev1.ConfigureResponse{})
	s.succeeds("and configures", err)
	disconnect := &runtimev1.DisconnectRequest{StoreID: store("early")}
	err = c.conn.Invoke(s.ctx(), "/atomix.proxy.v1.Proxy/Disconnect", disconnect, &runtimev1.DisconnectResponse{})
	s.succeeds("and disconnects", err)
}

func routesProgram(s *session, c control) []runtimev1.Route {
	cached := func(tag, config string) runtimev1.RoutingRule {
		return runtimev1.RoutingRule{Tags: []string{tag}, Config: &gogotypes.Any{Value: []byte(config)}}
	}
	all := []runtimev1.Route{
		{StoreID: store("main"), Rules: []runtimev1.RoutingRule{{Type: runtimev1.PrimitiveType{Name: "Counter", APIVersion: "v1"}}}},
		{StoreID: store("cached"), Rules: []runtimev1.RoutingRule{
			cached("mirrored", `{"cache":{"enabled":true}}`), cached("recent", `{"cache":{"enabled":true,"size":"2"}}`),
		}},
		{StoreID: store("special"), Rules: []runtimev1.RoutingRule{
			{Names: []string{s.name("special")}}, {Names: []string{"*"}, Tags: []string{"special"}},
		}},
		{StoreID: store("missing"), Rules: []runtimev1.RoutingRule{{Tags: []string{"missing"}}}},
	}
	s.succeeds("routes are programmed", c.program(all...))
	other := runtimev1.Route{StoreID: store("main")}
	s.code("other ones are not, afterwards", c.program(other), codes.PermissionDenied)
	return all
}

// createdPlainly creates a counter without the SDK, which would repeat what is unavailable.
func createdPlainly(s *session, kind, name string, tags ...string) error {
	conn := s.plain(s.env.address)
	request := &counterv1.CreateRequest{ID: id(name), Tags: tags}
	return conn.Invoke(s.ctx(), services(kind)[1]+"/Create", request, &counterv1.CreateResponse{})
}

// routesFollowed shows which store is whose by disconnecting one.
func routesFollowed(s *session, c control) {
	s.code("where no route leads, nothing is created", createdPlainly(s, "value", s.name("nowhere")), codes.Unavailable)
	s.code("nor where the store is missing", createdPlainly(s, "counter", s.name("missing"), "missing"), codes.Unavailable)
	byType := s.counter(s.client(), s.name("by-type"))
	byName := s.counter(s.client(), s.name("special"))
	byTag, err := client.Counter(s.client())(s.name("by-tag")).Tag("special", "more").Get(s.ctx())
	s.need("create a counter with tags", err)
	gives(s.checks, "a route by type is followed", int64(1))(byType.Increment(s.ctx(), 1))
	gives(s.checks, "a route by name is followed", int64(1))(byName.Increment(s.ctx(), 1))
	gives(s.checks, "a route by tag is followed", int64(1))(byTag.Increment(s.ctx(), 1))
	_, err = c.stub.Disconnect(s.ctx(), &runtimev1.DisconnectRequest{StoreID: store("special")})
	s.succeeds("a store is disconnected", err)
	plain := counterv1.NewCounterClient(s.plain(s.env.address))
	get := func(name string) error {
		_, err := plain.Get(s.ctx(), &counterv1.GetRequest{ID: id(name)})
		return err
	}
	s.code("what a name led there is unavailable", get(s.name("special")), codes.Unavailable)
	s.code("what a tag led there too", get(s.name("by-tag")), codes.Unavailable)
	s.succeeds("what is elsewhere is not", get(s.name("by-type")))
	s.succeeds("a store is connected again", c.connect("special", "atomix.io/shared-memory", "v1", nil))
	s.succeeds("what is there is available", get(s.name("special")))
}

// eventually asks until the answer is the wanted one: caches hear of changes soon, not at once.
func eventually[T comparable](s *session, sentence string, want T, ask func() (T, error)) {
	for end := time.Now().Add(deadline); ; time.Sleep(10 * time.Millisecond) {
		got, err := ask()
		if err == nil && got == want || time.Now().After(end) {
			gives(s.checks, sentence, want)(got, err)
			return
		}
	}
}

// routesCached: two clients with caches see each other's changes.
func routesCached(s *session) {
	for _, tag := range []string{"mirrored", "recent"} {
		cachedMap(s, tag)
		cachedIndexedMap(s, tag)
		cachedSet(s, tag)
		cachedValue(s, tag)
	}
}

func cachedMap(s *session, tag string) {
	ctx := s.ctx()
	cached := func() texts {
		builder := client.Map[string, string](s.client())(s.name(tag + "-map")).Tag(tag).Codec(types.Scalar[string]())
		return must[texts](s.checks, "create a cached map")(builder.Get(ctx))
	}
	first := cached()
	s.put(first, "early", "1")
	second := cached()
	read := func(key string) func() (string, error) {
		return func() (string, error) {
			entry, err := second.Get(ctx, key)
			if errors.IsNotFound(err) {
				return "nothing", nil
			}
			return pairText(entry), err
		}
	}
	early := must[*pair](s.checks, "get")(first.Get(ctx, "early"))
	eventually(s, tag+" map: what was there is read", pairText(early), read("early"))
	entry := s.put(first, "a", "1")
	gives(s.checks, tag+" map: its own change is read", entry)(first.Get(ctx, "a"))
	eventually(s, tag+" map: another's change is read", pairText(entry), read("a"))
	entry = must[*pair](s.checks, "update")(first.Update(ctx, "a", "2"))
	eventually(s, tag+" map: another's update is read", pairText(entry), read("a"))
	results, err := first.Transaction(ctx).Put("a", "3").Put("b", "3").Commit()
	s.need("commit", err)
	eventually(s, tag+" map: another's commit is read", pairText(results[0]), read("a"))
	must[*pair](s.checks, "remove")(first.Remove(ctx, "a"))
	eventually(s, tag+" map: another's remove is read", "nothing", read("a"))
	s.need("clear", first.Clear(ctx))
	eventually(s, tag+" map: another's clear is read", "nothing", read("b"))
	s.succeeds(tag+" map: is closed", second.Close(ctx))
}

func cachedIndexedMap(s *session, tag string) {
	ctx := s.ctx()
	cached := func() positions {
		builder := client.IndexedMap[string, string](s.client())(s.name(tag + "-indexedmap")).Tag(tag)
		return must[positions](s.checks, "create a cached indexed map")(builder.Codec(types.Scalar[string]()).Get(ctx))
	}
	first := cached()
	early := s.append(first, "early", "1")
	second := cached()
	read := func() (string, error) {
		entry, err := second.GetIndex(ctx, early.Index)
		if errors.IsNotFound(err) {
			return "nothing", nil
		}
		return positionText(entry), err
	}
	eventually(s, tag+" indexed map: what was there is read", positionText(early), read)
	entry := must[*position](s.checks, "update")(first.Update(ctx, "early", "2"))
	gives(s.checks, tag+" indexed map: its own change is read", entry)(first.Get(ctx, "early"))
	eventually(s, tag+" indexed map: another's update is read", positionText(entry), read)
	must[*position](s.checks, "remove")(first.RemoveIndex(ctx, entry.Index))
	eventually(s, tag+" indexed map: another's remove is read", "nothing", read)
	s.succeeds(tag+" indexed map: is closed", second.Close(ctx))
}

func cachedSet(s *session, tag string) {
	ctx := s.ctx()
	cached := func() elements {
		builder := client.Set[string](s.client())(s.name(tag + "-set")).Tag(tag).Codec(types.Scalar[string]())
		return must[elements](s.checks, "create a cached set")(builder.Get(ctx))
	}
	first := cached()
	must[bool](s.checks, "add")(first.Add(ctx, "early"))
	second := cached()
	contains := func(element string) func() (bool, error) {
		return func() (bool, error) { return second.Contains(ctx, element) }
	}
	eventually(s, tag+" set: what was there is contained", true, contains("early"))
	must[bool](s.checks, "add")(first.Add(ctx, "a"))
	eventually(s, tag+" set: what another has added is contained", true, contains("a"))
	must[bool](s.checks, "remove")(first.Remove(ctx, "a"))
	eventually(s, tag+" set: what another has removed is not", false, contains("a"))
	s.succeeds(tag+" set: is closed", second.Close(ctx))
}

func cachedValue(s *session, tag string) {
	ctx := s.ctx()
	cached := func() single {
		builder := client.Value[string](s.client())(s.name(tag + "-value")).Tag(tag).Codec(types.Scalar[string]())
		return must[single](s.checks, "create a cached value")(builder.Get(ctx))
	}
	first, second := cached(), cached()
	read := func() (versioned, error) { return second.Get(ctx) }
	eventually(s, tag+" value: what another has set is read", s.set(first, "1"), read)
	eventually(s, tag+" value: and the next", s.set(first, "2"), read)
	s.need("delete", first.Delete(ctx))
	refuses(s.checks, tag+" value: its own delete is seen", errors.NotFound)(first.Get(ctx))
	s.succeeds(tag+" value: is closed", second.Close(ctx))
}

// routesGone disconnects a store while streams are open.
func routesGone(s *session, c control) {
	builder := client.Map[string, string](s.client())(s.name("gone")).Tag("special").Codec(types.Scalar[string]())
	m := must[texts](s.checks, "create a map")(builder.Get(s.ctx()))
	ctx, cancel := context.WithCancel(s.open())
	defer cancel()
	s.mapEvents(ctx, m)
	_, err := c.stub.Disconnect(s.ctx(), &runtimev1.DisconnectRequest{StoreID: store("special")})
	s.succeeds("a store is disconnected under open streams", err)
	gives(s.checks, "others work on", int64(2))(s.counter(s.client(), s.name("by-type")).Increment(s.ctx(), 1))
}
