package vcenter

import (
	"bytes"
	"net/http"
	"reflect"

	"github.com/vmware/govmomi/vim25/types"
	"github.com/vmware/govmomi/vim25/xml"
)

// The simulator encodes what its own methods return. What the gate answers by
// itself, without a method behind it, is encoded here.

const (
	envelopeOpen = xml.Header + `<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" ` +
		`xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">` +
		`<soapenv:Body>`
	envelopeClose = `</soapenv:Body></soapenv:Envelope>`
)

// writeFault answers a request with a fault and its message.
func writeFault(w http.ResponseWriter, message string, fault types.BaseMethodFault) {
	var out bytes.Buffer
	out.WriteString(envelopeOpen + `<soapenv:Fault><faultcode>ServerFaultCode</faultcode><faultstring>`)
	_ = xml.EscapeText(&out, []byte(message))
	out.WriteString(`</faultstring><detail>`)
	kind := reflect.TypeOf(fault).Elem().Name()
	e := xml.NewEncoder(&out)
	_ = e.EncodeElement(fault, xml.StartElement{
		Name: xml.Name{Local: kind + "Fault"},
		Attr: []xml.Attr{
			{Name: xml.Name{Local: "xmlns"}, Value: "urn:vim25"},
			{Name: xml.Name{Local: "xsi:type"}, Value: kind},
		},
	})
	_ = e.Flush()
	out.WriteString(`</detail></soapenv:Fault>` + envelopeClose)
	w.Header().Set("Content-Type", "text/xml; charset=utf-8")
	w.WriteHeader(http.StatusInternalServerError)
	_, _ = w.Write(out.Bytes())
}

// writeTask answers a request for a task with the task's reference.
func writeTask(w http.ResponseWriter, method string, task types.ManagedObjectReference) {
	w.Header().Set("Content-Type", "text/xml; charset=utf-8")
	_, _ = w.Write([]byte(envelopeOpen + `<` + method + `Response xmlns="urn:vim25"><returnval type="Task">` +
		task.Value + `</returnval></` + method + `Response>` + envelopeClose))
}
