-- Needs: ACTIVITY

-- Adds an event of a version to its app's history. `reason`: JSON as in outbox.lua, or nil.
local function record_activity(event, version, reason)
  local number, by = unpack(redis.call('HMGET', version, 'number', 'deployed_by'))
  local entry = {'event', event, 'version', number, 'by', by}
  if reason then
    table.insert(entry, 'reason')
    table.insert(entry, reason)
  end
  redis.call('XADD', ACTIVITY, 'MAXLEN', '~', '1000', '*', unpack(entry))
end
