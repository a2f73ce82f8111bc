// Command interop drives go-spiffe's federation client and bundle handler for the tests of ../go-spiffe.ts.
//
// It reads one JSON object on its first line of standard input and writes one JSON object a line.
package main

import (
	"bufio"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/spiffebundle"
	"github.com/spiffe/go-spiffe/v2/federation"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

type request struct {
	Act         string `json:"act"`
	TrustDomain string `json:"trustDomain"`
	URL         string `json:"url"`
	// EndpointID and Bundle are for https_spiffe, RootsPEM is for https_web.
	EndpointID string `json:"endpointId"`
	Bundle     string `json:"bundle"`
	RootsPEM   string `json:"rootsPem"`
}

type seen struct {
	Sequence *uint64 `json:"sequence"`
	HintMs   *int64  `json:"hintMs"`
	X509     int     `json:"x509"`
	JWT      int     `json:"jwt"`
	Error    string  `json:"error,omitempty"`
}

func main() {
	input := bufio.NewReader(os.Stdin)
	line, err := input.ReadBytes('\n')
	if err != nil {
		fail(err)
	}
	var req request
	if err := json.Unmarshal(line, &req); err != nil {
		fail(err)
	}
	td, err := spiffeid.TrustDomainFromString(req.TrustDomain)
	if err != nil {
		fail(err)
	}
	switch req.Act {
	case "fetch":
		err = fetch(td, req)
	case "watch":
		err = watch(td, req, input)
	case "serve":
		err = serve(td, input)
	default:
		err = fmt.Errorf("unknown act %q", req.Act)
	}
	if err != nil {
		fail(err)
	}
}

func fetch(td spiffeid.TrustDomain, req request) error {
	known := spiffebundle.NewSet()
	option, err := authOption(td, req, known)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	bundle, err := federation.FetchBundle(ctx, td, req.URL, option)
	if err != nil {
		return err
	}
	write(describe(bundle))
	return nil
}

// watch follows a bundle until standard input ends; each update authenticates the next fetch.
func watch(td spiffeid.TrustDomain, req request, input *bufio.Reader) error {
	known := spiffebundle.NewSet()
	option, err := authOption(td, req, known)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = input.ReadByte()
		cancel()
	}()
	err = federation.WatchBundle(ctx, td, req.URL, &watcher{known: known}, option)
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

type watcher struct{ known *spiffebundle.Set }

func (w *watcher) NextRefresh(hint time.Duration) time.Duration {
	if hint > 0 && hint < time.Second {
		return hint
	}
	return 300 * time.Millisecond
}

func (w *watcher) OnUpdate(bundle *spiffebundle.Bundle) {
	w.known.Add(bundle)
	write(describe(bundle))
}

func (w *watcher) OnError(err error) { write(seen{Error: err.Error()}) }

func authOption(td spiffeid.TrustDomain, req request, known *spiffebundle.Set) (federation.FetchOption, error) {
	if req.EndpointID == "" {
		pool := x509.NewCertPool()
		for rest := []byte(req.RootsPEM); ; {
			var block *pem.Block
			if block, rest = pem.Decode(rest); block == nil {
				break
			}
			root, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, err
			}
			pool.AddCert(root)
		}
		return federation.WithWebPKIRoots(pool), nil
	}
	id, err := spiffeid.FromString(req.EndpointID)
	if err != nil {
		return nil, err
	}
	bundle, err := spiffebundle.Parse(td, []byte(req.Bundle))
	if err != nil {
		return nil, err
	}
	known.Add(bundle)
	return federation.WithSPIFFEAuth(known, id), nil
}

func describe(bundle *spiffebundle.Bundle) seen {
	found := seen{X509: len(bundle.X509Authorities()), JWT: len(bundle.JWTAuthorities())}
	if sequence, ok := bundle.SequenceNumber(); ok {
		found.Sequence = &sequence
	}
	if hint, ok := bundle.RefreshHint(); ok {
		ms := hint.Milliseconds()
		found.HintMs = &ms
	}
	return found
}

func write(value any) {
	line, err := json.Marshal(value)
	if err != nil {
		fail(err)
	}
	fmt.Println(string(line))
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
