package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"sync/atomic"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/spiffebundle"
	"github.com/spiffe/go-spiffe/v2/federation"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// serve answers with go-spiffe's own handler over https_spiffe and obeys the lines of standard input: "add" publishes
// a second root, "use" signs under it, "drop" takes the first one away.
func serve(td spiffeid.TrustDomain, input *bufio.Reader) error {
	first, err := newAuthority(td, 1)
	if err != nil {
		return err
	}
	second, err := newAuthority(td, 2)
	if err != nil {
		return err
	}
	bundle := spiffebundle.New(td)
	bundle.AddX509Authority(first.certificate)
	bundle.SetSequenceNumber(1)
	bundle.SetRefreshHint(time.Minute)
	handler, err := federation.NewHandler(td, bundle)
	if err != nil {
		return err
	}
	id := spiffeid.RequireFromPath(td, "/spire/server")
	var presented atomic.Pointer[tls.Certificate]
	if err := present(&presented, first, id); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ErrorLog:          log.New(os.Stderr, "", 0),
		TLSConfig: &tls.Config{
			MinVersion:     tls.VersionTLS12,
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return presented.Load(), nil },
		},
	}
	go func() { _ = server.ServeTLS(listener, "", "") }()
	document, err := bundle.Marshal()
	if err != nil {
		return err
	}
	write(map[string]string{
		"url":        fmt.Sprintf("https://localhost:%d/", listener.Addr().(*net.TCPAddr).Port),
		"endpointId": id.String(),
		"bundle":     string(document),
	})
	return obey(input, func(command string) error {
		switch command {
		case "add":
			bundle.AddX509Authority(second.certificate)
			bundle.SetSequenceNumber(2)
		case "use":
			return present(&presented, second, id)
		case "drop":
			bundle.RemoveX509Authority(first.certificate)
			bundle.SetSequenceNumber(3)
		}
		return nil
	})
}

func obey(input *bufio.Reader, act func(string) error) error {
	for {
		line, err := input.ReadString('\n')
		if err != nil {
			return nil
		}
		if err := act(line[:len(line)-1]); err != nil {
			return err
		}
		write(map[string]string{"done": line[:len(line)-1]})
	}
}

func newAuthority(td spiffeid.TrustDomain, serial int64) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(serial),
		Subject:               pkix.Name{Organization: []string{td.Name()}, SerialNumber: fmt.Sprint(serial)},
		URIs:                  []*url.URL{td.ID().URL()},
		NotBefore:             time.Now().Add(-time.Minute),
		NotAfter:              time.Now().Add(time.Hour),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	certificate, err := sign(template, template, &key.PublicKey, key)
	return &authority{certificate, key}, err
}

func present(to *atomic.Pointer[tls.Certificate], by *authority, id spiffeid.ID) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(time.Now().UnixNano()),
		URIs:                  []*url.URL{id.URL()},
		NotBefore:             time.Now().Add(-time.Minute),
		NotAfter:              time.Now().Add(30 * time.Minute),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	certificate, err := sign(template, by.certificate, &key.PublicKey, by.key)
	if err != nil {
		return err
	}
	to.Store(&tls.Certificate{Certificate: [][]byte{certificate.Raw}, PrivateKey: key})
	return nil
}

func sign(template, parent *x509.Certificate, public *ecdsa.PublicKey, key *ecdsa.PrivateKey) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}
