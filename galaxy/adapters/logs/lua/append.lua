-- Appends one batch of blocks to an app's log, once, and removes what is too old or too much.
-- KEYS: LOG, SIZE, WRITER
--   SIZE: of the log, in bytes; WRITER: the number of the writer's last batch.
-- ARGV: batch, remembered_ms, retention_ms, max_bytes, overhead, per_entry, entries...
--   batch: its number; remembered_ms: how long that is remembered; overhead: what an entry costs besides its text, in
--   bytes; entries: field names and values as XADD takes them, the text last, `per_entry` of them for each entry. They
--   are no JSON: texts are compressed, and JSON can't hold such bytes.
-- Returns the id of the newest entry of the log.
local LOG, SIZE, WRITER = unpack(KEYS)
local batch, remembered_ms, retention_ms, max_bytes, overhead, per_entry = unpack(ARGV, 1, 6)
local entries, first_entry = ARGV, 7
local PAGE, MAX_PAGES = 4, 2500
max_bytes, overhead, per_entry = tonumber(max_bytes), tonumber(overhead), tonumber(per_entry)

if tonumber(redis.call('GET', WRITER) or 0) >= tonumber(batch) then
  local newest = redis.call('XREVRANGE', LOG, '+', '-', 'COUNT', 1)[1]
  return newest and newest[1] or '0-0'
end

-- What an entry takes in memory at most: Redis's allocator rounds up by a quarter at most.
local function cost(text)
  return overhead + #text + math.floor(#text / 4)
end

local size = 0
if redis.call('EXISTS', LOG) == 1 then size = tonumber(redis.call('GET', SIZE) or 0) end
local id = '0-0'
for first = first_entry, #entries, per_entry do
  id = redis.call('XADD', LOG, '*', unpack(entries, first, first + per_entry - 1))
  size = size + cost(entries[first + per_entry - 1])
end

local expired = '(' .. string.format('%.0f', string.match(id, '^%d+') - retention_ms) .. '-0'
for _ = 1, MAX_PAGES do
  local newest = expired
  if size > max_bytes then newest = '+' end
  local page = redis.call('XRANGE', LOG, '-', newest, 'COUNT', PAGE)
  if #page == 0 then break end
  for _, entry in ipairs(page) do
    if newest == '+' and size <= max_bytes then break end
    redis.call('XDEL', LOG, entry[1])
    size = size - cost(entry[2][#entry[2]])
  end
end

redis.call('PEXPIRE', LOG, retention_ms)
redis.call('SET', SIZE, string.format('%.0f', size), 'PX', retention_ms)
redis.call('SET', WRITER, batch, 'PX', remembered_ms)
return id
