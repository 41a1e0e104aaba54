-- What a flow has resulted in, as JSON text. $1 the flow
SELECT kr_flow_result($1::text)::text
