package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"bonneville.vsphere/lab/engine"
	"bonneville.vsphere/lab/mark"
)

// label is on all that a lab makes in an engine. Its value names the lab's process,
// so that the next lab can tell a crashed lab's things from a living one's.
const label = "bonneville.lab"

// things are one sort of what a lab leaves in an engine.
type things struct {
	remove string
	query  url.Values
	ids    func(ctx context.Context, c *engine.Client, filter string) (map[string]string, error)
}

// sorts is in the order of removal: each is in use by those before it.
var sorts = []things{
	{remove: "/containers/", query: url.Values{"force": {"1"}, "v": {"1"}}, ids: listed("/containers/json")},
	{remove: "/volumes/", query: url.Values{"force": {"1"}}, ids: listedVolumes},
	{remove: "/images/", query: url.Values{"force": {"1"}}, ids: listed("/images/json")},
	{remove: "/networks/", ids: listed("/networks")},
}

type labelled struct {
	ID     string `json:"Id"`
	Name   string
	Labels map[string]string
}

func listed(path string) func(context.Context, *engine.Client, string) (map[string]string, error) {
	return func(ctx context.Context, c *engine.Client, filter string) (map[string]string, error) {
		var found []labelled
		query := engine.Filters("label", filter)
		query.Set("all", "1")
		err := c.Call(ctx, "GET", path, query, nil, &found)
		marks := map[string]string{}
		for _, one := range found {
			marks[one.ID] = one.Labels[label]
		}
		return marks, err
	}
}

func listedVolumes(ctx context.Context, c *engine.Client, filter string) (map[string]string, error) {
	var found struct{ Volumes []labelled }
	err := c.Call(ctx, "GET", "/volumes", engine.Filters("label", filter), nil, &found)
	marks := map[string]string{}
	for _, one := range found.Volumes {
		marks[one.Name] = one.Labels[label]
	}
	return marks, err
}

// removeMarked removes all that bears the mark.
func removeMarked(ctx context.Context, c *engine.Client, mark string) error {
	return removeWhere(ctx, c, label+"="+mark, func(string) bool { return true })
}

// removeAbandoned removes what labs that no longer run have left.
func removeAbandoned(ctx context.Context, c *engine.Client, progress io.Writer) error {
	said := false
	return removeWhere(ctx, c, label, func(of string) bool {
		gone := mark.Abandoned(of)
		if gone && !said {
			said = true
			fmt.Fprintln(progress, "[guests] removing what a lab that did not end in order has left")
		}
		return gone
	})
}

func removeWhere(ctx context.Context, c *engine.Client, filter string, where func(mark string) bool) error {
	var errs []error
	for _, sort := range sorts {
		marks, err := sort.ids(ctx, c, filter)
		if err != nil {
			return err
		}
		var ids []string
		for id, mark := range marks {
			if where(mark) {
				ids = append(ids, id)
			}
		}
		failures := make([]error, len(ids))
		atMost(4, len(ids), func(i int) {
			failures[i] = remove(ctx, c, sort.remove+ids[i], sort.query)
		})
		errs = append(errs, failures...)
	}
	return errors.Join(errs...)
}

// remove deletes something of the engine's; that it is gone already is as good.
func remove(ctx context.Context, c *engine.Client, path string, query url.Values) error {
	err := c.Call(ctx, "DELETE", path, query, nil, nil)
	if engine.IsStatus(err, http.StatusNotFound) {
		return nil
	}
	return err
}
