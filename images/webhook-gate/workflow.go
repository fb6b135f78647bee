package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"time"
)

// tokenLives is how long n8n takes a token for: it is kept with the execution, and is worth nothing by then.
const tokenLives = time.Minute

// token is what n8n knows the gate by before it begins an execution: a JSON Web Token (RFC 7519) under HS256.
func token(secret string, now time.Time) string {
	encode := base64.RawURLEncoding.EncodeToString
	claims, _ := json.Marshal(map[string]any{"iss": "webhook-gate", "exp": now.Add(tokenLives).Unix()})
	text := encode([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + encode(claims)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(text))
	return text + "." + encode(mac.Sum(nil))
}

// toWorkflow is a call of a workflow: the bytes as they came. The sender's signature is not handed on: n8n does not hold the
// sender's secret, so it needs none.
func toWorkflow(ctx context.Context, secret, to string, body []byte) *http.Request {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		panic(err) // Configuration.check has read the address.
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+token(secret, time.Now()))
	return request
}

// newClient calls n8n and follows it nowhere else.
func newClient(patience time.Duration) *http.Client {
	return &http.Client{
		Timeout:       patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
