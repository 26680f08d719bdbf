// A session from its first event to its end, in Go with plain gRPC stubs.
//
// Takes the server's address from SESSIOND_ADDRESS. The README beside this folder says how the stubs
// (package sessiond/contract) are made and how to run it.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"sort"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"sessiond/contract"
)

// No call waits longer for its answer; a watch stays open.
const timeout = 10 * time.Second

// client has the stubs that this program needs.
type client struct {
	sessions contract.SessionServiceClient
	events   contract.EventServiceClient
	context  contract.ContextServiceClient
}

func main() {
	address := os.Getenv("SESSIOND_ADDRESS")
	if address == "" {
		address = "127.0.0.1:7377"
	}
	if err := run(context.Background(), address); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, address string) error {
	// Without the option, gRPC waits up to two minutes between attempts to reach a server that was
	// away.
	delay := backoff.DefaultConfig
	delay.MaxDelay = time.Second
	conn, err := grpc.Dial(address, grpc.WithInsecure(),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: delay}))
	if err != nil {
		return err
	}
	defer conn.Close()
	c := client{
		contract.NewSessionServiceClient(conn),
		contract.NewEventServiceClient(conn),
		contract.NewContextServiceClient(conn),
	}

	sessionID, err := c.create(ctx)
	if err != nil {
		return err
	}
	steps := []func(context.Context, string) error{
		c.append, c.list, c.window, c.meetErrors, c.watch, c.refuseAfterEnd,
	}
	for _, step := range steps {
		if err := step(ctx, sessionID); err != nil {
			return err
		}
	}
	return nil
}

// create creates a session under an id that the server chooses.
func (c client) create(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	answer, err := c.sessions.CreateSession(ctx, &contract.CreateSessionRequest{
		Session: &contract.Session{AgentId: "travel", UserId: "user-42"},
		// Repeated with the same id, a call has one effect, so a lost answer is no problem.
		RequestId: requestID(),
	})
	if err != nil {
		return "", err
	}
	fmt.Println("created", answer.Session.SessionId)
	return answer.Session.SessionId, nil
}

// append appends two events: both are stored, or none.
func (c client) append(ctx context.Context, sessionID string) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	call := &contract.ToolCall{CallId: "c1", Name: "search_flights", Arguments: `{"to": "KIX"}`}
	answer, err := c.events.AppendEvents(ctx, &contract.AppendEventsRequest{
		SessionId: sessionID,
		Events: []*contract.Event{
			userText("I want to visit Japan next month"),
			{Payload: &contract.Event_ToolCall{ToolCall: call}},
		},
		RequestId: requestID(),
	})
	if err != nil {
		return err
	}
	fmt.Print("appended")
	for _, event := range answer.Events {
		fmt.Print(" ", event.Revision)
	}
	fmt.Println()
	return nil
}

// list reads the log in pages; only an absent token says that a page was the last.
func (c client) list(ctx context.Context, sessionID string) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	request := &contract.ListEventsRequest{SessionId: sessionID, PageSize: 2}
	for {
		page, err := c.events.ListEvents(ctx, request)
		if err != nil {
			return err
		}
		for _, event := range page.Events {
			fmt.Println("listed", event.Revision, payloadOf(event))
		}
		if page.NextPageToken == "" {
			return nil
		}
		request.PageToken = page.NextPageToken
	}
}

// window shows what to send to a model: here messages of OpenAI's chat completions, within 2,000
// tokens. The call that waits for its result has one in them, so that the provider does not refuse
// them.
func (c client) window(ctx context.Context, sessionID string) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	budget := uint32(2_000)
	window, err := c.context.GetContextWindow(ctx, &contract.GetContextWindowRequest{
		SessionId:   sessionID,
		TokenBudget: &budget,
		Dialect:     contract.Dialect_DIALECT_OPENAI_CHAT,
	})
	if err != nil {
		return err
	}
	fmt.Print("window")
	for _, message := range window.Rendered.GetListValue().GetValues() {
		fmt.Print(" ", message.GetStructValue().GetFields()["role"].GetStringValue())
	}
	fmt.Println()
	return nil
}

// meetErrors shows what two mistakes are answered with.
func (c client) meetErrors(ctx context.Context, sessionID string) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	outdated := uint32(1)
	_, err := c.events.AppendEvents(ctx, &contract.AppendEventsRequest{
		SessionId:        sessionID,
		Events:           []*contract.Event{userText("Or Korea?")},
		ExpectedRevision: &outdated,
	})
	printRefused(err)
	_, err = c.sessions.GetSession(ctx, &contract.GetSessionRequest{SessionId: "nobody"})
	printRefused(err)
	return nil
}

// watch follows the session until it ends, also while the server restarts.
func (c client) watch(ctx context.Context, sessionID string) error {
	request := &contract.WatchEventsRequest{SessionId: sessionID, UntilEnded: true}
	for {
		err := c.follow(ctx, request)
		if status.Code(err) != codes.Unavailable {
			return err
		}
		fmt.Println("continues from the cursor")
		time.Sleep(200 * time.Millisecond)
	}
}

// follow reads one stream to its end, and keeps the place up to which it came in the request.
func (c client) follow(ctx context.Context, request *contract.WatchEventsRequest) error {
	stream, err := c.events.WatchEvents(ctx, request, grpc.WaitForReady(true))
	if err != nil {
		return err
	}
	for {
		message, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, event := range message.GetEvents().GetEvents() {
			fmt.Println("watched", event.Revision, payloadOf(event))
		}
		// A program that wants to continue after a restart of its own keeps the cursor, once it has
		// dealt with the events.
		request.Cursor = message.Cursor
	}
}

// refuseAfterEnd shows that an ended session takes no events.
func (c client) refuseAfterEnd(ctx context.Context, sessionID string) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	_, err := c.events.AppendEvents(ctx, &contract.AppendEventsRequest{
		SessionId: sessionID,
		Events:    []*contract.Event{userText("One more thing")},
	})
	printRefused(err)
	return nil
}

func userText(text string) *contract.Event {
	return &contract.Event{
		Role:    contract.Role_ROLE_USER,
		Payload: &contract.Event_Message{Message: &contract.Message{Text: text}},
	}
}

// payloadOf is the name of an event's payload in the contract, for example "tool_call".
func payloadOf(event *contract.Event) string {
	message := event.ProtoReflect()
	payload := message.Descriptor().Oneofs().ByName("payload")
	return string(message.WhichOneof(payload).Name())
}

// printRefused prints the code of an error, its reason and the values that come with it.
func printRefused(err error) {
	fmt.Print("refused ", status.Code(err))
	for _, detail := range status.Convert(err).Details() {
		info, ok := detail.(*errdetails.ErrorInfo)
		if !ok {
			continue
		}
		fmt.Print(" ", info.Reason)
		for _, key := range sortedKeys(info.Metadata) {
			fmt.Printf(" %s=%s", key, info.Metadata[key])
		}
	}
	fmt.Println()
}

func sortedKeys(values map[string]string) []string {
	keys := make([]string, 0, len(values))
	for key := range values {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	return keys
}

func requestID() string {
	id := make([]byte, 16)
	if _, err := rand.Read(id); err != nil {
		panic(err) // The machine has no randomness: nothing that could be done about it.
	}
	return fmt.Sprintf("%x", id)
}
