package main

import (
	"context"
	"strings"
	"time"

	"github.com/ci-callback/ci-callback/pkg/ci"
	"github.com/ci-callback/ci-callback/pkg/config"
	"github.com/ci-callback/ci-callback/pkg/cosclient"
	"github.com/ci-callback/ci-callback/pkg/coslocal"
	"github.com/ci-callback/ci-callback/pkg/reconcile"
	"github.com/ci-callback/ci-callback/pkg/store"
	"github.com/ci-callback/ci-callback/scripts/records/board"
	"github.com/ci-callback/ci-callback/scripts/records/catalog"
	"github.com/ci-callback/ci-callback/scripts/records/mend"
)

// newBoard returns the board of scripts/records, with its buttons and a form that submits
// jobs. It works with the user's keys on the settings of the function, and looks for new
// records every so often.
func (pl *platform) newBoard(refreshEvery time.Duration) (*board.Board, error) {
	environment := pl.userEnvironment()
	settings, err := config.Load(environment)
	if err != nil {
		return nil, err
	}
	comparing, err := config.LoadReconcile(environment)
	if err != nil {
		return nil, err
	}
	options := store.Options{
		Credentials: cosclient.Credentials(settings.Credentials), Endpoint: settings.Endpoint,
		Bucket: settings.RecordBucket, Region: settings.RecordRegion, Prefix: settings.RecordPrefix,
		TagKey: settings.MD5TagKey, TagBuckets: settings.TagBuckets, AppID: settings.AppID,
		MaxTries: mend.MaxTries, Slots: make(chan struct{}, reconcile.MaxCOSRequests),
	}
	records, err := store.NewPool(cosclient.NewTransport()).Open(options)
	if err != nil {
		return nil, err
	}
	client := ci.NewClient(ci.Options{Endpoint: comparing.Endpoint, Credentials: options.Credentials})
	mediaBucket, mediaRegion := pl.media()
	return board.New(board.Options{
		Catalog: catalog.New(catalog.FromStore(records), settings.RecordPrefix),
		Bucket:  settings.RecordBucket, Region: settings.RecordRegion, MD5TagKey: settings.MD5TagKey,
		Look: board.LookWith(records), AskCI: board.AskWith(client, mediaBucket, mediaRegion), Refresh: refreshEvery,
		Mender: board.MendWith(newMender(records, options, client, settings.TagMD5, comparing)),
		Submit: &board.SubmitForm{
			Types:  []string{"Transcode", "Animation", "Snapshot", "Concat", "MediaInfo", "SpeechRecognition"},
			Submit: pl.submitForm,
		},
	})
}

// userEnvironment returns the settings of the function with the user's keys in the place
// of the role's.
func (pl *platform) userEnvironment() config.Environment {
	key := coslocal.DefaultCredential()
	return config.Environment{
		Process: pl.settings.Environment, Region: pl.settings.Region, AppID: pl.settings.AppID,
		Invocation: map[string]string{"TENCENTCLOUD_SECRETID": key.SecretID, "TENCENTCLOUD_SECRETKEY": key.SecretKey},
	}
}

// newMender returns what the buttons of the board work with.
func newMender(records *store.Store, o store.Options, client *ci.Client, tagMD5 bool, comparing config.Reconcile) *mend.Mender {
	m := mend.Options{Store: records, StoreOptions: o, CI: client, TagMD5: tagMD5, Types: comparing.Types}
	for _, b := range comparing.Buckets {
		m.Buckets = append(m.Buckets, reconcile.Bucket(b))
	}
	for _, w := range comparing.Workflows {
		m.Workflows = append(m.Workflows, reconcile.Workflow(w))
	}
	return mend.New(m)
}

// submitForm submits the job that was entered in the form of the board.
func (pl *platform) submitForm(ctx context.Context, s board.Submission) (id string, err error) {
	words := []string{s.Duration.String()}
	if s.Fail {
		words = append(words, "failed")
	}
	if s.Callback != "once" {
		words = append(words, s.Callback)
	}
	output := s.Output
	if output == "" {
		output = "output/${JobId}"
	}
	return pl.submit(ctx, jobRequest{
		Type: s.Type, Input: s.Input, Output: output, UserData: strings.Join(words, " "), Format: s.Format,
	})
}
