// Pebble, Let's Encrypt's ACME server for tests, whose certificates lead to the lab's own root.
//
// Pebble makes a root at each start that nobody trusts. Here the lab's root signs Pebble's intermediate instead, so that
// whoever trusts the lab trusts what Pebble issues: a chain of leaf and intermediate, as Let's Encrypt's is.
package main

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"flag"
	"log"
	"math/big"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
)

// As Let's Encrypt's; an order may ask for less. With a second profile Pebble would choose one at random.
var profiles = map[string]ca.Profile{"default": {Description: "90 days", ValidityPeriod: 90 * 24 * 3600}}

func main() {
	listen := flag.String("listen", "", "address to answer at")
	resolver := flag.String("resolver", "", "DNS server to look challenges up with")
	certificate := flag.String("certificate", "", "PEM certificate to answer with")
	key := flag.String("key", "", "its key")
	root := flag.String("root", "", "PEM certificate of the root")
	rootKey := flag.String("root-key", "", "its key")
	flag.Parse()

	// Otherwise Pebble looks after up to 15 seconds only.
	must(os.Setenv("PEBBLE_VA_NOSLEEP", "1"))
	// A name is proved for every certificate: by default half of them would lean on an earlier proof.
	must(os.Setenv("PEBBLE_AUTHZREUSE", "0"))
	logger := log.New(os.Stdout, "pebble ", log.LstdFlags)
	store := db.NewMemoryStore()
	authority := ca.New(logger, store, "", "ecdsa", 0, 1, profiles)
	verifier := va.New(logger, 80, 443, false, *resolver, store)
	front := wfe.New(logger, store, verifier, authority, []string{"pebble.letsencrypt.org"}, false, false, 1, 1)
	chain := signedBy(*root, *rootKey, authority.GetIntermediateCert(0).Cert)
	logger.Printf("https://%s%s", *listen, wfe.DirectoryPath)
	must(http.ListenAndServeTLS(*listen, *certificate, *key, chained{front.Handler(), chain}))
}

// signedBy is `intermediate`, the same name and key, issued by the root.
func signedBy(root, rootKey string, intermediate *x509.Certificate) []byte {
	pair, err := tls.LoadX509KeyPair(root, rootKey)
	must(err)
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	must(err)
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               intermediate.Subject,
		SubjectKeyId:          intermediate.SubjectKeyId,
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().AddDate(1, 0, 0),
		KeyUsage:              intermediate.KeyUsage,
		ExtKeyUsage:           intermediate.ExtKeyUsage,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, pair.Leaf, intermediate.PublicKey, pair.PrivateKey)
	must(err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// chained puts `chain` in place of Pebble's own behind every certificate that is fetched.
type chained struct {
	pebble http.Handler
	chain  []byte
}

func (c chained) ServeHTTP(out http.ResponseWriter, request *http.Request) {
	answer := &recorded{header: out.Header(), status: http.StatusOK}
	c.pebble.ServeHTTP(answer, request)
	body := answer.body.Bytes()
	if strings.HasPrefix(answer.header.Get("Content-Type"), "application/pem-certificate-chain") {
		if leaf, _ := pem.Decode(body); leaf != nil {
			body = append(pem.EncodeToMemory(leaf), c.chain...)
			answer.header.Set("Content-Length", strconv.Itoa(len(body)))
		}
	}
	out.WriteHeader(answer.status)
	_, _ = out.Write(body)
}

type recorded struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorded) Header() http.Header            { return r.header }
func (r *recorded) WriteHeader(status int)         { r.status = status }
func (r *recorded) Write(body []byte) (int, error) { return r.body.Write(body) }

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
