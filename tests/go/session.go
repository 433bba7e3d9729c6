package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net"
	"strconv"
	"time"

	runtimev1 "github.com/atomix/atomix/api/runtime/v1"
	"github.com/atomix/go-sdk/pkg/client"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// deadline of each call and each wait, unless a check says another one.
const deadline = 10 * time.Second

type environment struct {
	address string
	control string
}

// session is what a scenario works with: its checks, its connections and names that nobody has used.
type session struct {
	*checks
	env     environment
	nonce   string
	clients []*client.Client
	conns   []*grpc.ClientConn
	cancels []context.CancelFunc
}

func newSession(env environment, scenario string) *session {
	nonce := make([]byte, 4)
	if _, err := rand.Read(nonce); err != nil {
		panic(err)
	}
	return &session{checks: &checks{scenario: scenario}, env: env, nonce: hex.EncodeToString(nonce)}
}

func (s *session) close() {
	for _, cancel := range s.cancels {
		cancel()
	}
	for _, client := range s.clients {
		_ = client.Close()
	}
	for _, conn := range s.conns {
		_ = conn.Close()
	}
}

// client is a connection of its own, and so a session of its own with each primitive.
func (s *session) client() *client.Client {
	host, port, err := net.SplitHostPort(s.env.address)
	s.need("split the address", err)
	number, err := strconv.Atoi(port)
	s.need("read the port", err)
	client := client.NewClient(client.WithHost(host), client.WithPort(number))
	s.clients = append(s.clients, client)
	return client
}

// stubs is the connection of a client, for generated stubs: what the SDK has no method for. It has the SDK's interceptors.
func (s *session) stubs(client *client.Client) *grpc.ClientConn {
	return must[*grpc.ClientConn](s.checks, "connect")(client.Connect(s.ctx()))
}

// plain is a connection without the SDK's interceptors, which repeat what is unavailable for minutes.
func (s *session) plain(address string) *grpc.ClientConn {
	conn, err := grpc.Dial(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	s.need("connect to "+address, err)
	s.conns = append(s.conns, conn)
	return conn
}

// ctx has the usual deadline.
func (s *session) ctx() context.Context {
	return s.within(deadline)
}

func (s *session) within(limit time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	s.cancels = append(s.cancels, cancel)
	return ctx
}

// open has no deadline and ends with the scenario: for streams.
func (s *session) open() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	s.cancels = append(s.cancels, cancel)
	return ctx
}

// name is new in each run, so that a used server does as well as a fresh one.
func (s *session) name(kind string) string {
	return kind + "-" + s.nonce
}

func id(name string) runtimev1.PrimitiveID {
	return runtimev1.PrimitiveID{Name: name}
}
