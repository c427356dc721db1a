-- Needs: OUTBOX, OUTBOX_APPS

-- A reason as the store keeps it, in JSON; galaxy/domain/reasons.py words it.
local function reason_of(code, facts)
  return cjson.encode({code = code, facts = facts})
end

-- Fields of a version's record, and what an announcement calls them.
local OF_RECORD = {'app', 'number', 'attempt', 'deployed_by', 'base_image', 'image', 'image_digest', 'replaced', 'retry_at'}
local OF_ANNOUNCEMENT = {'app', 'version', 'attempt', 'by', 'base_image', 'image', 'image_digest', 'replaced', 'retry_at'}

-- Keeps an event of a version until its app's log has it. `reason`: as `reason_of` makes it, or nil.
-- Workers of releases that knew no reasons refuse fields that they do not know. They write `detail` into the log as it
-- is, and look at `warnings` only when the event is a deploy: so the reason of every other event is kept there.
local function announce(event, version, reason)
  local record = redis.call('HMGET', version, unpack(OF_RECORD))
  local entry = {'event', event}
  local function add(name, value)
    if value then
      table.insert(entry, name)
      table.insert(entry, value)
    end
  end
  for index, name in ipairs(OF_ANNOUNCEMENT) do add(name, record[index]) end
  if event == 'deployed' then add('warnings', redis.call('HGET', version, 'warnings')) end
  if reason then
    local facts = cjson.decode(reason).facts
    add('detail', facts.message or facts.digest and facts.base_image .. ' ' .. facts.digest)
    add('warnings', reason)
  end
  redis.call('XADD', OUTBOX, '*', unpack(entry))
  redis.call('SADD', OUTBOX_APPS, record[1])
end
